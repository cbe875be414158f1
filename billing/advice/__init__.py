"""What a commitment would be worth to an account, and what is at risk in those that run (docs/backtest.md).

commitment    offers compared with the same months without a contract    (core)
operation     an account's last twelve months, and what is expected; risks: all running contracts
"""
