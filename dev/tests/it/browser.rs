//! The dashboard in a real browser: Chromium, driven over the `WebDriver` protocol
//! (<https://www.w3.org/TR/webdriver2/>).

mod driver;
mod pages;
