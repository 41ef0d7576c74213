"""A stage of somebody's own: all that kochat knows of it is its folder and its YAML."""

from kochat.engine.stage import Stage

STAGE = Stage(name="toy", package=__name__)
