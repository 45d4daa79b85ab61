//! notification-service.
