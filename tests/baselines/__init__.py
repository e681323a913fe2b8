"""What benchmarks compare the product with, and the files they run on."""
