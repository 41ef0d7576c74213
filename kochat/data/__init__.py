"""Files to validated records to tensors: reading, splitting, and what the DataModules of all stages share."""
