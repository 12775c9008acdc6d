"""Gives each request the post its user acts under.

Read from the database every time: an appointment that ended, or a user moved to another unit,
counts with the next click, not with the next sign-in.
"""

from django.utils.functional import SimpleLazyObject

from .posts import posts_of

SESSION_KEY = "post"


class PostMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.posts = SimpleLazyObject(lambda: posts_of(request.user))
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        """`request.post` is None for whoever holds none; it is plain, so that `is None` holds."""
        request.post = None
        if request.user.is_authenticated:
            chosen = request.session.get(SESSION_KEY)
            request.post = next(
                (post for post in request.posts if post.organization_id == chosen),
                request.posts[0] if request.posts else None,
            )
