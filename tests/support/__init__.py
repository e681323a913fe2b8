"""What tests share: made files, servers, oracles."""
