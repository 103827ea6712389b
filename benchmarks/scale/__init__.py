"""A simulated load, priced and held against quotas."""
