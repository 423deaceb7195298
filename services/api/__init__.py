"""The tenants' HTTP API. Reads: the read model, and records of the log by position. Writes: commands to
`upshot.definitions` and `upshot.runs`, by appending only. Owns nothing: whatever it answers is a fold's verdict.
"""
