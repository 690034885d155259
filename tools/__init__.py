"""Programs for developers, beside the benchmarks and of the same parts."""
