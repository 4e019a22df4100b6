"""What Linux as a guest is made of: see conf/linux-guest."""
