"""Which policy suits a workload: recorded requests replayed through the policies that nodes run."""
