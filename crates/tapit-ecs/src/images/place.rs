//! The app's repository in the account's registry: what is in it, and how an image gets there.
//!
//! An image lies there under a tag that its configuration gives, so that whoever looks finds whether it is there already,
//! after a crash too. What was seen there is believed for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tapit_engine::{EngineError, ImageFault};
use tapit_model::{AppName, Digest, ImageRef, PinnedImage, RegistrySettings};
use tokio::time::Instant;

use super::{EcsImages, LocationError};
use crate::api::{ApiError, EcsApi, Operation, RegistryLogin, Request};

/// AWS's are good for 12 hours.
const LOGIN_LIFE: Duration = Duration::from_secs(6 * 3600);
/// Somebody may empty a repository by hand.
const SIGHT_LIFE: Duration = Duration::from_secs(10 * 60);
/// Images, each in each app that runs it; more are looked for again.
const MAX_PLACES: usize = 10_000;

/// What was found out once, believed for as long as it says.
struct Kept<T> {
    what: T,
    until: Instant,
}

impl<T> Kept<T> {
    fn new(what: T, life: Duration) -> Self {
        Self { what, until: Instant::now() + life }
    }

    fn is_good(&self) -> bool {
        Instant::now() < self.until
    }
}

/// The last login, as long as it is good.
#[derive(Default)]
pub struct LoginCache(tokio::sync::Mutex<Option<Kept<RegistryLogin>>>);

impl LoginCache {
    pub async fn get(&self, api: &Arc<dyn EcsApi>) -> Result<RegistryLogin, ApiError> {
        let mut cached = self.0.lock().await;
        if let Some(login) = cached.as_ref().filter(|login| login.is_good()) {
            return Ok(login.what.clone());
        }
        let login = api.call(Request::RegistryLogin).await?.login(Operation::GetAuthorizationToken)?;
        *cached = Some(Kept::new(login.clone(), LOGIN_LIFE));
        Ok(login)
    }

    /// It was refused: the next one is a new one, unless somebody has got that meanwhile.
    pub async fn refused(&self, login: &RegistryLogin) {
        let mut cached = self.0.lock().await;
        if cached.as_ref().is_some_and(|known| known.what == *login) {
            *cached = None;
        }
    }
}

/// Where an image was last seen; locked while somebody looks or sends it, so that it is sent once.
type Sight = Arc<tokio::sync::Mutex<Option<Kept<String>>>>;

/// By app and configuration.
#[derive(Default)]
pub struct Places(Mutex<HashMap<(AppName, Digest), Sight>>);

impl Places {
    fn all(&self) -> MutexGuard<'_, HashMap<(AppName, Digest), Sight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, app: &AppName, digest: &Digest) -> Sight {
        let mut all = self.all();
        if all.len() >= MAX_PLACES {
            all.clear();
        }
        all.entry((app.clone(), digest.clone())).or_default().clone()
    }

    pub fn forget(&self, app: &AppName) {
        self.all().retain(|(of, _), _| of != app);
    }
}

/// The name under which ECS fetches an image from its own registry, short as ECS documents it for Docker Hub.
pub fn pinned(image: &PinnedImage) -> String {
    let (registry, repository) = (image.reference.registry(), image.reference.repository());
    let whole = format!("{registry}/{repository}@{}", image.digest);
    ImageRef::parse(&whole).map_or(whole, |image| image.to_string())
}

pub fn settings(login: &RegistryLogin) -> RegistrySettings {
    let (username, password) = (login.username.clone(), login.password.clone());
    let login_there = tapit_model::RegistryLogin { username, password };
    RegistrySettings { login: Some(login_there), mirrors: Vec::new(), plain_http: login.plain_http }
}

impl EcsImages {
    /// Sees to it that the app's repository has a carried image. Callers for the same one wait for each other.
    pub(super) async fn put(&self, image: &PinnedImage, app: &AppName) -> Result<String, LocationError> {
        let sight = self.places.of(app, &image.digest);
        let mut seen = sight.lock().await;
        if let Some(location) = seen.as_ref().filter(|location| location.is_good()) {
            return Ok(location.what.clone());
        }
        *seen = None;
        let location = match self.put_with_login(image, app).await {
            // A login ends early when the credentials behind it do; a second one is refused for another reason.
            Err(LocationError::Image(EngineError::Image { fault: ImageFault::Denied, .. })) => {
                self.put_with_login(image, app).await?
            }
            other => other?,
        };
        *seen = Some(Kept::new(location.clone(), SIGHT_LIFE));
        Ok(location)
    }

    async fn put_with_login(&self, image: &PinnedImage, app: &AppName) -> Result<String, LocationError> {
        let login = self.login.get(&self.api).await.map_err(LocationError::Login)?;
        let located = self.put_once(image, app, &login).await;
        if let Err(LocationError::Image(EngineError::Image { fault: ImageFault::Denied, .. })) = &located {
            self.login.refused(&login).await;
        }
        located
    }

    async fn put_once(
        &self,
        image: &PinnedImage,
        app: &AppName,
        login: &RegistryLogin,
    ) -> Result<String, LocationError> {
        let (config, settings) = (&image.digest, settings(login));
        let repository = self.install.repository(app);
        let text = format!("{}/{repository}:{}", login.host, config.hex());
        let to = ImageRef::parse(&text).map_err(|_| LocationError::Name { text })?;
        let manifest = match self.store.sent(config, &to, &settings).await.map_err(LocationError::Image)? {
            Some(manifest) => manifest,
            None if !self.store.holds(config) => return Err(LocationError::Image(gone(image))),
            None => {
                // Only now, because it is there nearly always.
                let made = Request::CreateRepository { name: repository.clone(), tags: self.install.app_tags(app) };
                let made = self.api.call(made).await;
                made.map_err(|source| LocationError::Repository { repository: repository.clone(), source })?;
                self.store.send(config, &to, &settings).await.map_err(LocationError::Image)?
            }
        };
        Ok(format!("{}/{repository}@{manifest}", login.host))
    }
}

fn gone(image: &PinnedImage) -> EngineError {
    let text = format!(
        "{} was sent from here, but is neither here nor in the app's repository any more; import or build it again",
        image.digest
    );
    EngineError::Image { image: Box::new(image.reference.clone()), fault: ImageFault::NotFound, text }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::api::Answer;

    fn image(name: &str) -> PinnedImage {
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("digest");
        PinnedImage { reference: ImageRef::parse(name).expect("reference"), digest, exposed: Vec::new() }
    }

    #[test]
    fn an_image_is_fetched_by_its_digest_whatever_else_its_name_says() {
        let digest = format!("@sha256:{}", "a".repeat(64));
        for (name, expected) in [
            ("nginx", "nginx"),
            ("nginx:1.25", "nginx"),
            ("amazon/amazon-ecs-agent", "amazon/amazon-ecs-agent"),
            ("ghcr.io/a/b:v1", "ghcr.io/a/b"),
            ("1.dkr.ecr.eu-west-1.amazonaws.com/shop:v1", "1.dkr.ecr.eu-west-1.amazonaws.com/shop"),
            ("10.0.0.1:5000/shop", "10.0.0.1:5000/shop"),
        ] {
            assert_eq!(pinned(&image(name)), format!("{expected}{digest}"), "{name}");
        }
        let by_digest = format!("nginx:1.25@sha256:{}", "b".repeat(64));
        assert_eq!(pinned(&image(&by_digest)), format!("nginx{digest}"), "an index leads to another digest");
    }

    /// Numbers its logins.
    #[derive(Default)]
    struct Gate(AtomicUsize);

    #[async_trait]
    impl EcsApi for Gate {
        async fn call(&self, _: Request) -> Result<Answer, ApiError> {
            let password = self.0.fetch_add(1, Ordering::SeqCst).to_string();
            let (host, username) = ("r.example".to_owned(), "AWS".to_owned());
            Ok(Answer::Login(RegistryLogin { host, plain_http: false, username, password }))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_serves_until_it_is_old_or_refused() {
        let api: Arc<dyn EcsApi> = Arc::new(Gate::default());
        let cache = LoginCache::default();
        let first = cache.get(&api).await.expect("a login");
        tokio::time::advance(LOGIN_LIFE - Duration::from_secs(1)).await;
        assert_eq!(cache.get(&api).await.expect("a login"), first);
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = cache.get(&api).await.expect("a login");
        assert_ne!(second, first);
        cache.refused(&first).await;
        assert_eq!(cache.get(&api).await.expect("a login"), second, "that one was refused before");
        cache.refused(&second).await;
        assert_ne!(cache.get(&api).await.expect("a login"), second);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_in_a_repository_is_believed_for_a_while() {
        let seen = Kept::new("there", SIGHT_LIFE);
        tokio::time::advance(SIGHT_LIFE - Duration::from_secs(1)).await;
        assert!(seen.is_good());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!seen.is_good());
    }
}
