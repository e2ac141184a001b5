"""The whole story in a browser: connect a bucket on Label Studio's own pages, label what is in it, find the annotation in a bucket."""

import json

import pytest

import people
from conftest import put
from garage import REGION
from pages import Pages
from processes import wait_until
from studio import Person


@pytest.fixture
def pages(browser, gateway) -> Pages:
    pages = Pages(browser, gateway.url("").rstrip("/"))
    pages.log_in(people.ADMIN)
    return pages


@pytest.fixture
def keys(garage) -> dict[str, str]:
    """What a person types to connect any bucket of the test server."""
    return {
        "region_name": REGION, "s3_endpoint": garage.endpoint,
        "aws_access_key_id": garage.access_key_id, "aws_secret_access_key": garage.secret_access_key,
    }


def annotations(garage) -> list[str]:
    """The keys that lie in the bucket of annotations. What is read after it was listed may be gone by then."""
    return [entry["Key"] for entry in garage.s3.list_objects_v2(Bucket="annotations", Prefix="story/").get("Contents", [])]


def test_from_a_bucket_to_an_annotation_in_a_bucket(pages, browser, admin, label_studio, gateway, garage, image, keys):
    project = admin.project("The story")

    # A source, by the wizard.
    pages.describe_source(project, "Pictures", "images", keys, shown="test card.png")
    pages.see("Ready to Connect")
    pages.save("Save & Sync", "Pictures")
    pages.wait_for_status(project, "Completed")
    assert "1 (1 new)" in pages.text()

    # A target, by the wizard.
    pages.begin_storage("Add Target Storage")
    pages.connect(title="Annotations", bucket="annotations", prefix="story", can_delete=True, **keys)
    pages.save("Save", "Annotations")

    # Both are the gateway's: Label Studio, asked at its own port, knows no bucket and has no key.
    alone = Person(label_studio.port, people.ADMIN)
    for kind, title in (("", "Pictures"), ("/export", "Annotations")):
        assert [storage["title"] for storage in admin.call(f"/api/storages{kind}/s3?project={project}")] == [title]
        assert alone.call(f"/api/storages{kind}/s3?project={project}") == []

    # The task shows the image, twice: in the list, and to be labelled.
    (task,) = admin.tasks(project)
    assert task["data"] == {"image": image.uri}
    pages.open_task(project, task["id"])
    browser.until("two images are decoded", "[...document.images].filter(i => i.naturalWidth === 320).length >= 2")
    of_the_gateway = [source for source, width in browser.decoded_images() if source.startswith(gateway.url(f"/tasks/{task['id']}/resolve"))]
    assert of_the_gateway, browser.decoded_images()

    # The annotation comes to the bucket.
    pages.submit_choice("Cat")
    (annotation,) = wait_until("the annotation is stored", lambda: admin.call(f"/api/tasks/{task['id']}/annotations/"))
    key = f"story/{annotation['id']}"
    wait_until("the annotation is in the bucket", lambda: key in annotations(garage), seconds=30)
    written = json.loads(garage.s3.get_object(Bucket="annotations", Key=key)["Body"].read())
    assert written["result"][0]["value"] == {"choices": ["Cat"]}
    assert written["task"]["data"] == {"image": image.uri}
    assert written["completed_by"]["email"] == people.ADMIN

    # And leaves it.
    pages.delete_annotation()
    wait_until("the annotation is deleted", lambda: not admin.call(f"/api/tasks/{task['id']}/annotations/"))
    wait_until("its object is gone", lambda: key not in annotations(garage), seconds=30)


def test_a_storage_is_edited_synced_and_deleted_on_its_card(pages, admin, garage, keys):
    for name in "ab":
        put(garage, "media", f"card/{name}.png", name.encode())
    project = admin.project("The card")
    pages.describe_source(project, "Before", "card", keys)
    pages.save("Save", "Before")

    pages.press("Storage options")
    pages.choose("Edit")
    pages.fill("title", "After")
    # The keys are not typed again: those that are stored are tested.
    pages.press("Test Connection")
    pages.see("Connection Verified")
    pages.press("Next")
    pages.press("Load Preview")
    pages.see("Preview Loaded")
    pages.press("Next")
    pages.save("Save", "After")
    (storage,) = admin.call(f"/api/storages/s3/?project={project}")
    assert (storage["title"], storage["prefix"], storage["use_blob_urls"]) == ("After", "card", True)

    pages.sync()
    pages.wait_for_status(project, "Completed")
    assert len(admin.tasks(project)) == 2

    pages.press("Storage options")
    pages.choose("Delete")
    pages.press("Confirm")
    pages.see("Add your first cloud storage")
    assert admin.call(f"/api/storages/s3/?project={project}") == []
    assert len(admin.tasks(project)) == 2


def test_a_sync_that_failed_shows_its_log(pages, admin, garage, keys):
    put(garage, "media", "broken/one.json", b"[{")
    project = admin.project("The log")
    pages.describe_source(project, "Broken", "broken", keys, files=False)
    pages.save("Save & Sync", "Broken")
    pages.wait_for_status(project, "View Logs")
    pages.click("the status", "[...document.querySelectorAll('*')].filter(e => e.offsetParent && e.textContent.includes('View Logs')).at(-1)")
    pages.see("Storage Sync Error Log")
    pages.see("one.json")


def test_a_connection_that_fails_says_why(pages, admin, keys):
    project = admin.project("Refused")
    pages.open_storages(project)
    pages.begin_storage("Add Source Storage")
    for name, text in {"title": "Wrong", "bucket": "absent-bucket", **keys}.items():
        pages.fill(name, text)
    pages.press("Test Connection")
    pages.see("absent-bucket")
    assert "Connection Verified" not in pages.text()
