"""Strategies, orders, money: a run from bars to a result that can be verified."""
