//! The steps of `--all`: what a user does with the own account, and an administrator with another's. They
//! need the mails, a token of an administrator and an authenticator app: so they are for the system that
//! `up` runs on this machine.

use std::{fs, path::PathBuf, time::SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::native::random_hex;

use super::scenario::{Scenario, User, expect, text};
use crate::{project::Project, state::State, token};

/// Characters of a token that goes by mail.
const TOKEN_CHARS: usize = 43;

/// What of the system on this machine the steps need.
pub(super) struct Local {
    project: Project,
    state: State,
}

impl Local {
    pub(super) fn new(project: &Project, state: Option<State>) -> Result<Self> {
        let up = || {
            format!(
                "--all is for what runs here; start it with: {}",
                project.command("up --detach")
            )
        };
        Ok(Self { project: project.clone(), state: state.with_context(up)? })
    }

    /// The token of the newest mail to an address whose link leads to a page.
    fn mailed(&self, email: &str, page: &str) -> Result<Option<String>> {
        let folder = self.project.dev("mail");
        let mut newest: Option<(SystemTime, String)> = None;
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path: PathBuf = entry?.path();
            // One that is being written has another name yet.
            if path.extension().is_none_or(|end| end != "eml") {
                continue;
            }
            let written = fs::metadata(&path)?.modified()?;
            let mail = fs::read_to_string(&path)?;
            let link = mail.split_once(&format!("/{page}#token=")).map(|(_, rest)| rest);
            let token = link.and_then(|rest| rest.get(..TOKEN_CHARS)).map(str::to_owned);
            let token = token.filter(|_| mail.contains(&format!("To: {email}")));
            newest = newest.max(token.map(|token| (written, token)));
        }
        Ok(newest.map(|(_, token)| token))
    }
}

/// Somebody with a login, who comes back.
struct Account {
    user: User,
    email: String,
    password: String,
}

impl Scenario {
    /// Everything that there is of accounts.
    pub(super) fn walk_accounts(&mut self, local: &Local) -> Result<()> {
        let email = format!("smoke-{}@example.com", random_hex(6)?);
        let password = random_hex(12)?;
        let id = self.step("register another user", |s| s.register(&email, &password))?;
        let bearer = self.step("log in", |s| s.log_in(&email, &password))?;
        let mut account = Account { user: User { id, bearer }, email, password };

        self.step("prove the address by the mail", |s| s.prove(local, &account.email))?;
        account.email = self.step("move to another address by its mail", |s| {
            let (email, detail) = s.change_email(&account.user, &account.password)?;
            s.prove(local, &email)?;
            Ok((email, detail))
        })?;
        account.user.bearer = self.step("log in there", |s| s.enter(&account))?;
        account.password = self.step("change the password", |s| s.change_password(&account))?;
        account.password =
            self.step("forget it, and set another by mail", |s| s.reset(local, &account))?;
        account.user.bearer = self.step("log in with it", |s| s.enter(&account))?;
        self.step("list the sessions, and end all others", |s| s.end_others(&account))?;
        self.step("log in to read alone", |s| s.read_alone(&account))?;

        let codes = self.step("switch the second factor on", |s| s.protect(local, &account))?;
        account.user.bearer = self.step("log in with a recovery code, and switch it off", |s| {
            s.unprotect(&account, &codes)
        })?;
        self.step("appoint nobody", |s| s.appoint(local, &account))
    }

    fn post(&self, path: &str, bearer: &str, body: &Value) -> Result<crate::http::Answer> {
        let headers = [("authorization", bearer)];
        let headers = if bearer.is_empty() { &[][..] } else { &headers[..] };
        self.send("POST", &self.at_users(path), headers, Some(body))
    }

    /// Waits for the mail to an address, and shows its token.
    fn redeem(
        &self,
        local: &Local,
        email: &str,
        page: &str,
        path: &str,
        more: Value,
    ) -> Result<()> {
        let token = self
            .wait(&format!("no mail with a link to {page} came"), || local.mailed(email, page))?;
        let mut body = more;
        body["token"] = json!(token);
        expect(&self.post(path, "", &body)?, 204).map(drop)
    }

    fn prove(&self, local: &Local, email: &str) -> Result<((), Value)> {
        let path = "/api/email-verifications/complete";
        self.redeem(local, email, "verify-email", path, json!({}))?;
        Ok(((), Value::Null))
    }

    fn enter(&self, account: &Account) -> Result<(String, Value)> {
        self.log_in(&account.email, &account.password)
    }

    fn change_password(&self, account: &Account) -> Result<(String, Value)> {
        let new = random_hex(12)?;
        let body = json!({"current_password": account.password, "new_password": new});
        let url = self.at_users(&format!("/api/users/{}/password", account.user.id));
        let bearer = [("authorization", account.user.bearer.as_str())];
        expect(&self.send("PUT", &url, &bearer, Some(&body))?, 204)?;
        Ok((new, Value::Null))
    }

    fn reset(&self, local: &Local, account: &Account) -> Result<(String, Value)> {
        let asked = self.post("/api/password-resets", "", &json!({"email": account.email}))?;
        expect(&asked, 202)?;
        let new = random_hex(12)?;
        let path = "/api/password-resets/complete";
        self.redeem(local, &account.email, "reset-password", path, json!({"password": new}))?;
        Ok((new, Value::Null))
    }

    fn end_others(&self, account: &Account) -> Result<((), Value)> {
        let bearer = [("authorization", account.user.bearer.as_str())];
        let list =
            || expect(&self.send("GET", &self.at_users("/api/sessions"), &bearer, None)?, 200);
        self.log_in(&account.email, &account.password)?;
        let open = list()?["items"].as_array().map_or(0, Vec::len);
        if open < 2 {
            bail!("the user has {open} sessions instead of two or more");
        }
        let others = self.at_users("/api/sessions?keep_current=true");
        expect(&self.send("DELETE", &others, &bearer, None)?, 204)?;
        let left = list()?["items"].as_array().map_or(0, Vec::len);
        if left != 1 {
            bail!("{left} sessions are left instead of this one");
        }
        Ok(((), json!({"ended": open - left})))
    }

    /// A session that is narrowed to reading reads, and may not write, before and after a refresh.
    fn read_alone(&self, account: &Account) -> Result<((), Value)> {
        let scope = "user:read";
        let body = json!({"email": account.email, "password": account.password, "scope": scope});
        let mut session = expect(&self.post("/api/sessions", "", &body)?, 201)?;
        let own = self.at_users(&format!("/api/users/{}", account.user.id));
        for path in ["/api/sessions/refresh", ""] {
            let bearer = format!("Bearer {}", text(&session, "access_token")?);
            let headers = [("authorization", bearer.as_str()), ("if-match", "*")];
            expect(&self.send("GET", &own, &headers, None)?, 200)?;
            let refused = self.send("PATCH", &own, &headers, Some(&json!({"name": "Nobody"})))?;
            let problem = expect(&refused, 403)?;
            if problem["type"] != "/problems/insufficient-scope" {
                bail!("the refusal is of another kind: {problem}");
            }
            if !path.is_empty() {
                let token = json!({"refresh_token": text(&session, "refresh_token")?});
                session = expect(&self.post(path, "", &token)?, 200)?;
            }
        }
        Ok(((), json!({"scope": text(&session, "scope")?})))
    }

    /// Gives an authenticator app its secret, and shows its first code; gives recovery codes.
    fn protect(&self, local: &Local, account: &Account) -> Result<(Vec<Value>, Value)> {
        let bearer = &account.user.bearer;
        let body = json!({"password": account.password});
        let enrolled = expect(&self.post("/api/second-factor", bearer, &body)?, 201)?;
        let code = token::code(&local.project, &local.state, &text(&enrolled, "secret")?)?;
        let first = self.post("/api/second-factor/complete", bearer, &json!({"code": code}))?;
        let codes = expect(&first, 200)?["recovery_codes"].as_array().cloned().unwrap_or_default();
        let ((), mail) = self.mail(&account.user, "second_factor_enabled")?;
        Ok((codes, mail))
    }

    fn unprotect(&self, account: &Account, codes: &[Value]) -> Result<(String, Value)> {
        let [first, second, ..] = codes else { bail!("there are {} recovery codes", codes.len()) };
        let mut body = json!({"email": account.email, "password": account.password});
        let refused = self.post("/api/sessions", "", &body)?;
        let kind = expect(&refused, 401)?;
        if kind["type"] != "/problems/second-factor" {
            bail!("a sign-in without a code is answered {}", kind["type"]);
        }
        body["code"] = first.clone();
        let session = expect(&self.post("/api/sessions", "", &body)?, 201)?;
        let bearer = format!("Bearer {}", text(&session, "access_token")?);
        let both = json!({"password": account.password, "code": second});
        expect(&self.post("/api/second-factor/disable", &bearer, &both)?, 204)?;
        let user = User { id: account.user.id.clone(), bearer };
        let ((), mail) = self.mail(&user, "second_factor_disabled")?;
        Ok((user.bearer, mail))
    }

    /// A user appoints nobody, and neither does an administrator's token alone: the password is asked for as well.
    fn appoint(&self, local: &Local, account: &Account) -> Result<((), Value)> {
        let url = self.at_users(&format!("/api/users/{}/role", account.user.id));
        let put = |bearer: &str| {
            self.send("PUT", &url, &[("authorization", bearer)], Some(&json!({"role": "admin"})))
        };
        expect(&put(&account.user.bearer)?, 403)?;
        let admin = format!("Bearer {}", token::administrator(&local.project, &local.state)?);
        let refused = expect(&put(&admin)?, 422)?;
        if refused["errors"][0]["pointer"] != "/current_password" {
            bail!("an administrator's token alone is answered {refused}");
        }
        let found = self.at_users("/api/users?role=admin&status=active");
        let found = self.send("GET", &found, &[("authorization", &admin)], None)?;
        let administrators = expect(&found, 200)?["items"].as_array().map_or(0, Vec::len);
        Ok(((), json!({"administrators": administrators})))
    }
}
