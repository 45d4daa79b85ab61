//! The user service's process; what it does stands in `lib.rs`.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    platform::process::run::<user_service::UserService>(platform::build_info!()).await
}
