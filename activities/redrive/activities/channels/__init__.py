"""Channels of alerts: what each one is sent, and what its answer means.

One module per way of talking: `chat` for bots, `incidents` for PagerDuty and signed webhooks, `mail` for SMTP. They
only make messages and read answers; `redrive.activities.notify` sends. Signatures are made when a message is sent,
since receivers refuse timestamps that are minutes old and a delivery may be retried for hours.
"""
