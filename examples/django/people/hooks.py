"""What Overture tells this site: taken if it is signed, once, and answered at once."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from people.models import Heard


@csrf_exempt
@require_POST
def hook(request: HttpRequest) -> HttpResponse:
    secret = settings.OVERTURE_WEBHOOK_SECRET_FILE.read_text()
    try:
        told = Webhook(secret).verify(request.body, dict(request.headers.items()))
    except WebhookVerificationError:
        return HttpResponse(status=400)
    Heard.objects.get_or_create(
        webhook_id=request.headers["webhook-id"],
        defaults={
            "kind": told["type"],
            "member_id": str(told.get("data", {}).get("member_id") or ""),
        },
    )
    # What takes longer is done later, from the table: a receiver that is slow is asked again.
    return HttpResponse(status=204)
