"""Which reasoning features did base already have, and do they matter?"""
