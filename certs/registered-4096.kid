portvakt-test-4096
