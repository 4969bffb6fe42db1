"""Work cut into units: each is kept when it is finished, and may be done by another process or machine."""
