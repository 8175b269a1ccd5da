"""The one exception whose message is meant for the user."""


class UserError(Exception):
    """A mistake or a lack that the user can mend.

    The message is complete in itself: what is wrong, where, and what to do. Jobs print it without a
    traceback.
    """
