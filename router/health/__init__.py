"""Active checks: whether announced nodes answer, asked at intervals."""
