//! The notification service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    platform::process::run::<notification_service::NotificationService>(platform::build_info!())
        .await
}
