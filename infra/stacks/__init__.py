"""The stacks. They only compose constructs: one holds data, one holds everything that can be made again."""
