"""LongBench as published: tasks, methods under one token budget, answers, the main table."""
