"""Makes Label Studio's database and its people; run by Label Studio's own Python, with its data folder in the environment.

Prints one line of JSON: e-mail -> user id. The outsider has an organization of their own, which Label Studio's API cannot
make without a commercial licence.
"""

import json
import sys

ADMIN, ANNOTATOR, LEAVER, OUTSIDER = (f"{name}@example.org" for name in ("admin", "annotator", "leaver", "outsider"))
PASSWORD = "a-password-of-the-tests"


def token_of(email: str) -> str:
    """The legacy token of a person: forty characters that say whose it is."""
    return email.encode().hex()[:40].ljust(40, "0")


def make() -> dict[str, int]:
    from label_studio import server

    sys.argv = [
        "label-studio", "init", "--quiet", "--no-browser", "--username", ADMIN, "--password", PASSWORD, "--user-token", token_of(ADMIN),
        "--enable-legacy-api-token",
    ]
    server.main()

    from organizations.models import Organization
    from rest_framework.authtoken.models import Token
    from users.models import User

    ours = Organization.objects.get()
    for email in (ANNOTATOR, LEAVER, OUTSIDER):
        user = User.objects.create_user(email=email, password=PASSWORD)
        Token.objects.filter(user=user).update(key=token_of(email))
        if email == OUTSIDER:
            organization = Organization.create_organization(created_by=user, title="Elsewhere", legacy_api_tokens_enabled=True)
        else:
            organization = ours
            ours.add_user(user)
        user.active_organization = organization
        user.save(update_fields=["active_organization"])
    return {user.email: user.pk for user in User.objects.all()}


if __name__ == "__main__":
    print(json.dumps(make()))
