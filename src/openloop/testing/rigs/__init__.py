"""Rigs: stateful fakes of the remote services OpenLoop speaks to, each with dials for faults.

A rig listens on a loopback port and speaks the vendor's own protocol, so the product reaches it
through its real client. Rigs know nothing of OpenLoop but its vocabulary.
"""
