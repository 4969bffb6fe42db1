"""Which tokens does the tuned model have to choose?"""
