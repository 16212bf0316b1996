//! Shows live what a request becomes, across the processes.
