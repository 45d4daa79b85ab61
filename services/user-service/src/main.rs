//! The user service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    chassis::process::run::<user_service::UserService>(telemetry::build_info!()).await
}
