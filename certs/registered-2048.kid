portvakt-test-2048
