//! Removal of unused images when the disk fills: from the high threshold down
//! to the low one, those unused for longest first.

use crate::cri::{self, Image};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// When images are collected.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Percentage of disk use from which on images are removed.
    pub high: u64,
    /// Percentage at which enough are removed.
    pub low: u64,
    /// Images seen for less time are kept.
    pub min_age: Duration,
    /// Images that nobody has used for longer go even where there is room; zero for never.
    pub max_age: Duration,
}

impl Policy {
    /// Of what the flags say.
    ///
    /// # Errors
    /// In Kubernetes' words, if it makes no sense.
    pub fn new(high: u64, low: u64, min_age: Duration, max_age: Duration) -> Result<Self, String> {
        for (flag, percent) in [("high", high), ("low", low)] {
            if percent > 100 {
                return Err(format!(
                    "--image-gc-{flag}-threshold {percent} must be between 0 and 100, inclusive"
                ));
            }
        }
        if low >= high {
            return Err(format!(
                "--image-gc-low-threshold {low} must be less than --image-gc-high-threshold {high}"
            ));
        }
        if !max_age.is_zero() && max_age <= min_age {
            return Err(format!(
                "--image-maximum-gc-age {max_age:?} must be greater than --minimum-image-ttl-duration {min_age:?}"
            ));
        }
        Ok(Self {
            high,
            low,
            min_age,
            max_age,
        })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            high: 85,
            low: 80,
            min_age: Duration::from_secs(120),
            max_age: Duration::ZERO,
        }
    }
}

/// Why the disk couldn't be relieved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] cri::Error),
    /// The disk can't be looked at.
    #[error("cannot read the usage of {path}: {error}")]
    Disk {
        /// The file system.
        path: String,
        /// What the kernel said.
        error: nix::Error,
    },
    /// What could be removed wasn't enough.
    #[error(
        "Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, but only found {freed} bytes eligible to free."
    )]
    NotEnough {
        /// Bytes to free.
        wanted: u64,
        /// Bytes freed.
        freed: u64,
    },
}

/// Size and use of a file system in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// All of it.
    pub capacity: u64,
    /// What can still be written.
    pub available: u64,
}

impl Disk {
    /// Of the file system that holds a path.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let stat = nix::sys::statvfs::statvfs(path).map_err(|error| Error::Disk {
            path: path.display().to_string(),
            error,
        })?;
        let block = stat.fragment_size();
        Ok(Self {
            capacity: stat.blocks() * block,
            available: stat.blocks_available() * block,
        })
    }

    /// Bytes to free so that use falls to `low`, if it is at `high` or above.
    fn excess(&self, policy: &Policy) -> Option<u64> {
        // At 100 room is none of our business.
        if self.capacity == 0 || policy.high >= 100 {
            return None;
        }
        let used = self.capacity.saturating_sub(self.available);
        let is_high = u128::from(used) * 100 >= u128::from(self.capacity) * u128::from(policy.high);
        let target = self.capacity / 100 * (100 - policy.low.min(100));
        is_high.then(|| target.saturating_sub(self.available))
    }
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Instant,
    last_used: Instant,
}

/// Remembers when images were used; runs one at a time.
pub struct Collector {
    runtime: cri::Handle,
    policy: Policy,
    seen: Mutex<HashMap<String, Seen>>,
}

impl Collector {
    /// Of a runtime's images.
    pub fn new(runtime: cri::Handle, policy: Policy) -> Self {
        Self {
            runtime,
            policy,
            seen: Mutex::default(),
        }
    }

    /// Looks at the disk that holds the images and removes what is needed;
    /// answers the bytes freed. To be called every few minutes.
    pub async fn collect(&self) -> Result<u64, Error> {
        let file_systems = self.runtime.image_fs_info().await?;
        let mut freed = self.remove_old().await?;
        for usage in file_systems {
            let mountpoint = usage.fs_id.map(|id| id.mountpoint).unwrap_or_default();
            let disk = Disk::of(Path::new(&mountpoint))?;
            freed += self.relieve(disk).await?;
        }
        Ok(freed)
    }

    async fn relieve(&self, disk: Disk) -> Result<u64, Error> {
        let images = self.candidates().await?;
        let Some(wanted) = disk.excess(&self.policy) else {
            return Ok(0);
        };
        self.free(images, wanted).await
    }

    /// Removes images that nobody has used for too long.
    async fn remove_old(&self) -> Result<u64, Error> {
        if self.policy.max_age.is_zero() {
            return Ok(0);
        }
        let mut images = self.candidates().await?;
        let now = Instant::now();
        images.retain(|image| {
            let seen = self.seen.lock();
            let unused = seen
                .get(&image.id)
                .map(|seen| now.duration_since(seen.last_used));
            unused.is_some_and(|unused| unused > self.policy.max_age)
        });
        self.free_all(images).await
    }

    /// Removes all of them.
    async fn free_all(&self, images: Vec<Image>) -> Result<u64, Error> {
        match self.free(images, u64::MAX).await {
            Err(Error::NotEnough { freed, .. }) => Ok(freed),
            other => other,
        }
    }

    /// Removes all unused images, as eviction asks for.
    pub async fn remove_unused(&self) -> Result<u64, Error> {
        let images = self.candidates().await?;
        self.free_all(images).await
    }

    /// Images that may go, first those to go first.
    async fn candidates(&self) -> Result<Vec<Image>, Error> {
        let images = self.runtime.list_images().await?;
        let containers = self.runtime.list_containers(BTreeMap::new()).await?;
        let used = containers
            .into_iter()
            .flat_map(|c| [Some(c.image_ref), c.image.map(|i| i.image)])
            .flatten();
        // No container uses the image of sandboxes, and none runs without it.
        let used: HashSet<String> = used
            .chain(super::sandbox_image(&*self.runtime).await)
            .collect();
        let now = Instant::now();
        let mut seen = self.seen.lock();
        seen.retain(|id, _| images.iter().any(|image| image.id == *id));
        for image in &images {
            let entry = seen.entry(image.id.clone()).or_insert(Seen {
                first: now,
                last_used: now,
            });
            if is_used(image, &used) {
                entry.last_used = now;
            }
        }
        Ok(order(images, &seen, &used, now, self.policy.min_age))
    }

    async fn free(&self, images: Vec<Image>, wanted: u64) -> Result<u64, Error> {
        let mut freed = 0;
        for image in images {
            if freed >= wanted {
                break;
            }
            match self.runtime.remove_image(&image.id).await {
                Ok(()) => {
                    tracing::info!(image = image.id, bytes = image.size, "removed unused image");
                    freed += image.size;
                }
                Err(error) => tracing::warn!(image = image.id, %error, "cannot remove image"),
            }
        }
        if freed < wanted {
            return Err(Error::NotEnough { wanted, freed });
        }
        Ok(freed)
    }
}

fn is_used(image: &Image, used: &HashSet<String>) -> bool {
    let names = image.repo_tags.iter().chain(&image.repo_digests);
    used.contains(&image.id) || names.into_iter().any(|name| used.contains(name))
}

fn order(
    images: Vec<Image>,
    seen: &HashMap<String, Seen>,
    used: &HashSet<String>,
    now: Instant,
    min_age: Duration,
) -> Vec<Image> {
    let mut free: Vec<(Seen, Image)> = images
        .into_iter()
        .filter(|image| !image.pinned && !is_used(image, used))
        .filter_map(|image| Some((*seen.get(&image.id)?, image)))
        .filter(|(seen, _)| now.duration_since(seen.first) >= min_age)
        .collect();
    free.sort_by_key(|(seen, _)| (seen.last_used, seen.first));
    free.into_iter().map(|(_, image)| image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cri::fake::Fake;
    use std::sync::Arc;

    fn collector(policy: Policy) -> (Arc<Fake>, Collector) {
        let runtime = Arc::new(Fake::default());
        for (id, size) in [("a", 10), ("b", 20), ("c", 30)] {
            runtime.add_image(id, &format!("{id}:1"), size);
        }
        runtime.images.lock()[0].pinned = true;
        (runtime.clone(), Collector::new(runtime, policy))
    }

    fn ids(runtime: &Fake) -> Vec<String> {
        runtime.images.lock().iter().map(|i| i.id.clone()).collect()
    }

    const YOUNG_TOO: Policy = Policy {
        high: 85,
        low: 80,
        min_age: Duration::ZERO,
        max_age: Duration::ZERO,
    };

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        let policy = |high, low, max| {
            let (min, max) = (Duration::from_secs(120), Duration::from_secs(max));
            Policy::new(high, low, min, max).map(|_| ()).unwrap_err()
        };
        assert!(policy(101, 80, 0).contains("must be between 0 and 100"));
        assert!(policy(80, 80, 0).contains("--image-gc-low-threshold 80 must be less than"));
        assert!(policy(85, 80, 60).contains("--image-maximum-gc-age 60s must be greater than"));
        assert!(Policy::new(85, 80, Duration::ZERO, Duration::ZERO).is_ok());
    }

    #[tokio::test]
    async fn what_nobody_has_used_for_long_goes_and_what_sandboxes_need_stays() {
        let (runtime, collector) = collector(Policy {
            max_age: Duration::from_nanos(1),
            ..YOUNG_TOO
        });
        let config = serde_json::json!({"sandboxImage": "b:1"}).to_string();
        runtime.info.lock().insert("config".into(), config);
        collector.candidates().await.unwrap();
        assert_eq!(collector.collect().await.unwrap(), 30);
        assert_eq!(ids(&runtime), ["a", "b"]);
    }

    #[test]
    fn how_much_is_too_much() {
        let disk = |available| Disk {
            capacity: 1000,
            available,
        };
        assert_eq!(disk(151).excess(&Policy::default()), None);
        assert_eq!(disk(150).excess(&Policy::default()), Some(50));
        assert_eq!(disk(0).excess(&Policy::default()), Some(200));
    }

    #[tokio::test]
    async fn a_full_disk_costs_unused_images_until_it_is_enough() {
        let (runtime, collector) = collector(YOUNG_TOO);
        let disk = |available| Disk {
            capacity: 100,
            available,
        };
        assert_eq!(collector.relieve(disk(50)).await.unwrap(), 0);
        assert_eq!(ids(&runtime), ["a", "b", "c"]);
        let freed = collector.relieve(disk(5)).await.unwrap();
        assert!(freed >= 15);
        assert_eq!(runtime.images.lock().len(), 2, "the pinned one stays");
        assert_eq!(
            collector
                .relieve(Disk {
                    capacity: 1000,
                    available: 0
                })
                .await
                .unwrap_err()
                .to_string(),
            format!(
                "Failed to garbage collect required amount of images. Attempted to free 200 bytes, but only found {} bytes eligible to free.",
                50 - freed
            )
        );
        assert_eq!(ids(&runtime), ["a"]);
    }

    #[tokio::test]
    async fn new_images_are_kept() {
        let (runtime, collector) = collector(Policy::default());
        assert_eq!(collector.remove_unused().await.unwrap(), 0);
        assert_eq!(ids(&runtime).len(), 3);
    }

    #[test]
    fn those_unused_for_longest_go_first() {
        let now = Instant::now();
        let (old, recent) = (now, now + Duration::from_secs(5));
        let image = |id: &str| Image {
            id: id.into(),
            ..Default::default()
        };
        let entry = |last_used| Seen {
            first: old,
            last_used,
        };
        let seen = [("a".to_owned(), entry(recent)), ("b".into(), entry(old))].into();
        let images = vec![image("a"), image("b")];
        let order = order(images, &seen, &HashSet::new(), recent, Duration::ZERO);
        assert_eq!(order[0].id, "b");
    }
}
