"""What several tests share: stand-ins for the network's edge, drivers, waiting."""
