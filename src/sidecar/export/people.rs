//! Who made the annotations of an object: a number says so until the person is known.

use std::collections::{BTreeMap, BTreeSet};

use super::{deliver::Target, layout};
use crate::{
    annotation::{Annotation, Person},
    store::{Due, Error},
};

/// The people of an object by their numbers.
pub(super) type People = BTreeMap<String, Person>;

impl Target {
    /// Those who made these annotations. Somebody who is not known keeps the object from nothing: it is written without
    /// them, and again once they are known.
    pub(super) async fn people(&self, annotations: &[Annotation], due: &Due) -> Result<People, Error> {
        let numbers: BTreeSet<String> =
            annotations.iter().filter_map(|annotation| layout::person(&annotation.body)).collect();
        if numbers.is_empty() {
            return Ok(People::new());
        }
        let numbers: Vec<String> = numbers.into_iter().collect();
        let known = self.store.people(&numbers).await?;
        let mut people: People = known.into_iter().map(|person| (person.id.clone(), person)).collect();
        let Some(source) = &self.source else { return Ok(people) };
        for number in numbers {
            if people.contains_key(&number) {
                continue;
            }
            if let Some(person) = source.person(&number).await {
                people.insert(number, person);
            } else {
                self.store.await_person(&number, self.storage.id, (due.unit, &due.item)).await?;
            }
        }
        Ok(people)
    }
}
