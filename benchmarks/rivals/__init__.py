"""The workloads in other libraries, each in a file that nothing else imports: a process of its own
runs it.
"""
