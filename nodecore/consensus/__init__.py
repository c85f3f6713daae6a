"""Single-decree consensus: ballots, acceptor, proposer."""
