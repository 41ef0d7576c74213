"""Files to validated records to tensors: reading, splitting, cleaning, and the DataModules of every stage."""
