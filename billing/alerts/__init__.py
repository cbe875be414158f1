"""Alerts: free runs, budgets and committed runs that are nearly used up, or will be at this pace."""
