"""Backups of a cluster: the file, what a complete walk of all owners is, and how their pages merge.

Everything here is pure. Reading a cluster and a disk is the console's; a node's share (pages of
entries, taking entries back) is in ``nodecore.node_backup`` and ``nodecore.node_restore``.
"""
