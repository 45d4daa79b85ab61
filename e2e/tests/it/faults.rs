//! What can happen to messages, each fault by its name, against the services' own processes.

mod parking;
