"""Label Studio's own pages, driven as a person does: by what is written on them, where they give nothing better."""

from selenium.common.exceptions import ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

import people
from browser import SECONDS, Browser

# The pages render again and again while they load; an element that was found may be gone, or covered, a moment later.
MOVING = (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException)
BUTTON = """[...document.querySelectorAll('button, [role=menuitem], li > span')]
    .filter(e => e.offsetParent && !e.disabled && (e.innerText.trim() === arguments[0] || e.ariaLabel === arguments[0])).at(-1)"""


class Pages:
    """Label Studio at one address, in a browser."""

    def __init__(self, browser: Browser, address: str):
        self.browser, self.driver, self.address = browser, browser.driver, address

    def open(self, target: str) -> None:
        self.browser.open(self.address + target)

    def log_in(self, email: str) -> None:
        """Begins a session of its own, whoever was there before."""
        # From an empty page: one of Label Studio's still asks things, and each answer brings the old session back.
        self.browser.open("about:blank")
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.open("/user/login/")
        self.driver.find_element("id", "email").send_keys(email)
        self.driver.find_element("id", "password").send_keys(people.PASSWORD)
        self.driver.find_element("css selector", "button.login-button").click()
        self.browser.until("the login is done", "!location.pathname.endsWith('/user/login/') && document.readyState === 'complete'")

    def see(self, text: str) -> None:
        """Waits until the text can be read on the page."""
        self.browser.until(f"{text!r} is shown", "document.body.innerText.includes(arguments[0])", text)

    def text(self) -> str:
        return self.driver.execute_script("return document.body.innerText")

    def press(self, text: str) -> None:
        """Clicks the button with this text or label, the one that lies above the others."""
        self.click(f"the button {text!r}", BUTTON, text)

    def choose(self, text: str) -> None:
        """Clicks the item of a menu."""
        self.click(f"the item {text!r}", "[...document.querySelectorAll('*')].filter(e => e.offsetParent && e.textContent.trim() === arguments[0]).at(-1)", text)

    def wait_for_button(self, text: str) -> None:
        self.browser.until(f"there is a button {text!r}", f"({BUTTON}) !== undefined", text)

    def click(self, what: str, code: str, *arguments) -> None:
        """Clicks the element that the expression finds, as soon as it can be."""
        def attempt(driver):
            element = driver.execute_script(f"return {code}", *arguments)
            if element is None:
                return False
            driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
            element.click()
            return True

        self._wait(f"click {what}", attempt)

    def fill(self, name: str, text: str) -> None:
        """Replaces what is in a field of a form."""
        def attempt(driver):
            field = driver.execute_script("return [...document.getElementsByName(arguments[0])].find(e => e.offsetParent)", name)
            if field is None:
                return False
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(text or Keys.DELETE)
            return field.get_attribute("value") == text

        self._wait(f"fill in {name}", attempt)

    def _wait(self, what: str, attempt) -> None:
        try:
            WebDriverWait(self.driver, SECONDS, 0.1, ignored_exceptions=MOVING).until(attempt)
        except Exception as error:
            raise AssertionError(f"{what}: {error}; the page shows: {self.text()[-1500:]}") from None

    # The settings of cloud storages.

    def open_storages(self, project: int) -> None:
        self.open(f"/projects/{project}/settings/storage")
        self.wait_for_button("Add Source Storage")

    def begin_storage(self, button: str) -> None:
        """The first step of the wizard: Amazon S3."""
        self.press(button)
        self.click("Amazon S3", "document.querySelector('[data-testid=storage-provider-s3]')")
        self.press("Next")

    def connect(self, can_delete: bool = False, **fields: str) -> None:
        """The second step, up to the verified connection."""
        for name, text in fields.items():
            self.fill(name, text)
        if can_delete:
            self.click("Can delete objects", "document.querySelector('input[aria-label=\"Can delete objects from storage\"]')")
        self.press("Test Connection")
        self.see("Connection Verified")

    def choose_files(self) -> None:
        """The import method by which every object is a task."""
        self.click("the import method", "document.querySelector('[data-name=use_blob_urls]')")
        self.click("Files", "[...document.querySelectorAll('[data-testid=select-popup] *')].filter(e => e.innerText?.trim().startsWith('Files -')).at(-1)")
        self.browser.until("the import method is Files", "document.querySelector('[data-name=use_blob_urls]').innerText.startsWith('Files')")

    def describe_source(self, project: int, title: str, prefix: str, keys: dict[str, str], files: bool = True, shown: str = "") -> None:
        """The wizard of a source over a prefix of the bucket, up to its last step."""
        self.open_storages(project)
        self.begin_storage("Add Source Storage")
        self.connect(title=title, bucket="media", **keys)
        self.press("Next")
        self.fill("prefix", prefix)
        if files:
            self.choose_files()
        self.press("Load Preview")
        self.see(shown)
        self.see("Preview Loaded")
        self.press("Next")

    def save(self, button: str, title: str) -> None:
        """The last step, up to the card of the storage: a page that is left sooner takes its requests with it."""
        self.press(button)
        self.browser.until("the wizard is closed", "!document.body.innerText.includes('Import your data from cloud storage providers')")
        self.wait_for_button("Storage options")
        self.see(title)

    def sync(self) -> None:
        """Presses the card's button, and waits until the page knows that it began."""
        self.press("Sync Storage")
        self.browser.until("the sync began", "/Syncing may take|Queued|In progress|Completed|Failed/.test(document.body.innerText)")

    def wait_for_status(self, project: int, text: str) -> None:
        """Looks at the cards again until one shows the text, as the page tells to: it does not look by itself."""
        def attempt(_driver):
            self.open_storages(project)
            self.wait_for_button("Storage options")
            return text in self.text()

        self._wait(f"a storage is {text!r}", attempt)

    # Labeling.

    def open_task(self, project: int, task: int) -> None:
        self.open(f"/projects/{project}/data?task={task}")

    def play_or_pause(self) -> None:
        """The player's own button."""
        self.click("the button of the player", "document.querySelector('[data-testid^=\"playback-button\"]')")

    def submit_choice(self, name: str) -> None:
        self.click(f"the choice {name}", "document.querySelector(`input[name='${arguments[0]}']`)", name)
        self.browser.until(f"{name} is chosen", "document.querySelector(`input[name='${arguments[0]}']`).checked", name)
        self.press("Submit current annotation")

    def delete_annotation(self) -> None:
        self.click("the menu of the annotation", "document.querySelector('.lsf-annotation-button_selected .lsf-annotation-button__trigger')")
        self.choose("Delete Annotation")
        self.press("Delete")
