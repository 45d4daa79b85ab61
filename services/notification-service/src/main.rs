//! The notification service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chassis::process::run::<notification_service::NotificationService>(telemetry::build_info!()).await
}
