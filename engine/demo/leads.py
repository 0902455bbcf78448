"""The synthetic leads of the demo model: 50 features and whether the lead became a customer.

Every lead has five hidden traits (intent, fit, authority, money, timing). The features are noisy views of them, as a
website, a mail tool and a CRM would record them; the conversion follows the traits and a few things that happened.
No feature tells a trait outright, so a model has something to learn and cannot become perfect.

A value is missing (NaN) for one of three reasons: it does not exist (no trial, so no trial logins), nobody was able to
observe it (cookies refused, a bought address list, a tool not connected), or the field was simply left empty.
Values are rounded as a CRM shows them, so that the last bit of a CPU's exp or log does not reach the training data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
Columns = dict[str, Column]

# name -> (label, description); the order is the model's column order.
FEATURES: dict[str, tuple[str, str]] = {
    "f1": ("Visits in the last 7 days", "Website sessions of this person in the last 7 days"),
    "f2": ("Visits in the last 30 days", "Website sessions in the last 30 days, the last 7 included"),
    "f3": ("Pages per visit", "Mean number of pages opened in a visit"),
    "f4": ("Minutes on the website", "Total time on the website in the last 30 days, in minutes"),
    "f5": ("Pricing page views", "How often the pricing page was opened in the last 30 days"),
    "f6": ("Product page views", "How often a product page was opened in the last 30 days"),
    "f7": ("Case studies read", "Customer stories opened in the last 30 days"),
    "f8": ("Days since last visit", "Days since the last website visit; missing when there was none in 30 days"),
    "f9": ("Returning visitor", "1 when the person had visited before these 30 days, else 0"),
    "f10": ("Share of demo video watched", "0 to 1; missing when the video was never started"),
    "f11": ("Documents downloaded", "White papers and data sheets downloaded so far"),
    "f12": ("Webinar minutes", "Minutes attended of our webinars; missing when never registered for one"),
    "f13": ("Trial started", "1 when a free trial was started, else 0"),
    "f14": ("Trial logins in the last 14 days", "Logins to the free trial; missing without a trial"),
    "f15": ("Colleagues invited to the trial", "Users invited to the free trial; missing without a trial"),
    "f16": ("Chat conversations", "Conversations begun in the website's chat window"),
    "f17": ("Emails sent", "Emails that we sent in the last 90 days"),
    "f18": ("Emails opened", "How many of those emails were opened"),
    "f19": ("Emails clicked", "How many of those emails had a link clicked"),
    "f20": ("Emails answered", "How many of those emails were answered by the person"),
    "f21": ("Days since last email opened", "Missing when no email was opened in the last 90 days"),
    "f22": ("Unsubscribed", "1 when the person left the mailing list, else 0"),
    "f23": ("Calls made", "Calls that our sales people made"),
    "f24": ("Calls answered", "How many of those calls reached the person"),
    "f25": ("Minutes on the phone", "Total length of the answered calls; missing when none was answered"),
    "f26": ("Meetings held", "Meetings with this person, on site or by video"),
    "f27": ("Days since last contact", "Days since a call or a meeting; missing when there was none"),
    "f28": ("Days since lead was created", "Age of the lead in days"),
    "f29": ("Hours to first reply", "Hours from the first enquiry to our reply; missing for leads that never asked"),
    "f30": ("Known contacts at the company", "People of the same company in our CRM, this one included"),
    "f31": ("Company size", "Number of employees"),
    "f32": ("Annual revenue", "Revenue of the company in million euros; seldom published by small companies"),
    "f33": ("Company age", "Years since the company was founded"),
    "f34": ("Employee growth", "Change of the number of employees in the last year, in percent"),
    "f35": ("Industry fit", "Share of our customers of the last 3 years in this industry, scaled to 0 to 1"),
    "f36": ("Uses a competing product", "1 when known to use one, 0 when known not to, missing when unknown"),
    "f37": ("Partner tools in use", "Tools with an integration of ours that the company uses"),
    "f38": ("Office locations", "Number of offices of the company"),
    "f39": ("Credit rating", "1 (poor) to 10 (excellent), from a rating agency"),
    "f40": ("Distance to our nearest office", "In kilometres"),
    "f41": ("Job seniority", "1 assistant, 2 specialist, 3 manager, 4 director, 5 executive"),
    "f42": ("Years in current job", "From the public profile; missing when there is none"),
    "f43": ("In the buying department", "1 when the person works where our product is bought, else 0"),
    "f44": ("Business email address", "1 for a company domain, 0 for a free mail provider"),
    "f45": ("Phone number given", "1 when the person left a phone number, else 0"),
    "f46": ("Share of form fields filled", "Share of the optional form fields that were filled, 0 to 1"),
    "f47": ("Lead source rank", "1 bought list, 2 display ad, 3 social, 4 search ad, 5 organic, 6 event, 7 partner"),
    "f48": ("Came by referral", "1 when a customer recommended us, else 0"),
    "f49": ("Earlier deals won", "Deals already won with the same company"),
    "f50": ("Budget stated", "Budget that the person named, in thousand euros; missing when not named"),
}


@dataclass(frozen=True)
class Lead:
    """The hidden traits, each about standard normal, and what is decided before anything is observed."""

    intent: Column
    fit: Column
    authority: Column
    money: Column
    timing: Column
    source: Column  # the rank of f47
    tracked: NDArray[np.bool_]  # website behaviour can be seen: cookies accepted, not from a bought list
    barely_known: NDArray[np.bool_]  # entered by hand with a field or two

    def __len__(self) -> int:
        return len(self.intent)


def population(rows: int, seed: int) -> tuple[Column, NDArray[np.int8]]:
    """Draws `rows` leads: a matrix of the 50 features and the 0/1 conversion."""
    rng = np.random.Generator(np.random.PCG64(seed))
    lead = draw_leads(rng, rows)
    columns: Columns = {}
    groups = []
    for group in (website, trial, email, sales, company, person, history):
        groups.append(group(rng, lead, columns))
        columns |= groups[-1]
    logit = conversion_logit(lead, columns) + rng.normal(0.0, 0.5, rows)
    converted = rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))
    hide_untracked(lead, columns)
    hide_unconnected(rng, groups, columns)
    leave_fields_empty(rng, lead, columns)
    return np.column_stack([columns[name] for name in FEATURES]), converted.astype(np.int8)


def draw_leads(rng: np.random.Generator, rows: int) -> Lead:
    """Traits hang together: money comes with fit, timing with intent; better sources bring better intent."""
    fit, authority = rng.normal(size=(2, rows))
    source = 1.0 + rng.choice(7, size=rows, p=[0.10, 0.13, 0.15, 0.20, 0.24, 0.10, 0.08])
    barely_known = rng.random(rows) < 0.05
    intent = 0.18 * (source - 4.0) - 0.6 * barely_known + rng.normal(0.0, 0.95, rows)
    money = 0.5 * fit + rng.normal(0.0, 0.85, rows)
    timing = 0.4 * intent + rng.normal(0.0, 0.9, rows)
    tracked = (rng.random(rows) < 0.88) & (source > 1.0)
    return Lead(intent, fit, authority, money, timing, source, tracked, barely_known)


def conversion_logit(lead: Lead, c: Columns) -> Column:
    """What makes a lead a customer, in log-odds."""
    traits = 0.95 * lead.intent + 0.75 * lead.fit + 0.45 * lead.authority + 0.4 * lead.money + 0.5 * lead.timing
    together = 0.45 * np.minimum(lead.intent, lead.fit) + 0.25 * lead.intent * (lead.authority > 0.5)
    trial_used = np.where(c["f14"] >= 4, 0.9, np.where(c["f13"] == 1, -0.2, 0.0))
    spoke = 0.35 * np.minimum(c["f26"], 3) + 0.25 * np.minimum(c["f20"], 3)
    pestered = -0.12 * np.maximum(c["f23"] - c["f24"] - 3, 0)
    cold = -0.02 * np.minimum(np.nan_to_num(c["f27"], nan=20.0), 90) - 0.012 * np.minimum(np.nan_to_num(c["f29"]), 72)
    known = 0.7 * c["f48"] + 0.5 * np.minimum(c["f49"], 2) - 1.3 * c["f22"]
    rival = np.where(c["f36"] == 1, np.where(lead.timing > 0.7, 0.4, -0.9), 0.0)
    return -2.9 + traits + together + trial_used + spoke + pestered + cold + known + rival


def website(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    rate = np.exp(0.1 + 0.55 * lead.intent + 0.25 * lead.timing)
    week = rng.poisson(0.5 * rate)
    month = week + rng.poisson(1.3 * rate)
    pages = np.where(month > 0, 1.0 + rng.gamma(2.0, np.exp(0.1 + 0.25 * lead.intent)), np.nan)
    opened = np.nan_to_num(month * pages)
    last = np.where(week > 0, rng.integers(0, 7, len(lead)), rng.integers(7, 31, len(lead)))
    return {
        "f1": week.astype(float),
        "f2": month.astype(float),
        "f3": np.round(pages, 1),
        "f4": np.round(opened * rng.gamma(2.0, 0.6, len(lead)), 1),
        "f5": rng.binomial(opened.astype(int), logistic(-2.9 + 0.5 * lead.intent + 0.3 * lead.timing)).astype(float),
        "f6": rng.binomial(opened.astype(int), logistic(-1.0 + 0.3 * lead.fit)).astype(float),
        "f7": rng.poisson(opened * 0.04 * np.exp(0.3 * lead.fit)).astype(float),
        "f8": np.where(month > 0, last, np.nan),
        "f9": flag(rng, -0.4 + 0.6 * lead.intent),
        "f10": np.where(flag(rng, -1.1 + 0.6 * lead.intent) == 1, unit(rng, 0.3 * lead.intent), np.nan),
        "f16": rng.poisson(0.25 * np.exp(0.5 * lead.intent)).astype(float),
    }


def trial(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    started = flag(rng, -1.9 + 0.9 * lead.intent + 0.3 * lead.fit)
    webinar = rng.random(len(lead)) < logistic(-1.6 + 0.5 * lead.intent)
    logins = rng.poisson(np.exp(1.0 + 0.6 * lead.intent + 0.3 * lead.fit))
    invited = rng.poisson(np.exp(-0.3 + 0.4 * lead.authority + 0.4 * lead.fit))
    return {
        "f11": rng.poisson(0.7 * np.exp(0.45 * lead.intent)).astype(float),
        "f12": np.where(webinar, np.round(rng.gamma(2.0, 14.0 * np.exp(0.2 * lead.intent))), np.nan),
        "f13": started,
        "f14": np.where(started == 1, logins, np.nan),
        "f15": np.where(started == 1, invited, np.nan),
    }


def email(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    sent = rng.poisson(7.0, len(lead))
    opened = rng.binomial(sent, logistic(-1.0 + 0.7 * lead.intent))
    clicked = rng.binomial(opened, logistic(-1.3 + 0.5 * lead.intent + 0.3 * lead.fit))
    answered = rng.binomial(opened, logistic(-2.8 + 0.5 * lead.intent + 0.4 * lead.timing))
    return {
        "f17": sent.astype(float),
        "f18": opened.astype(float),
        "f19": clicked.astype(float),
        "f20": answered.astype(float),
        "f21": np.where(opened > 0, np.minimum(np.floor(rng.exponential(90.0 / (opened + 1.0))), 90.0), np.nan),
        "f22": flag(rng, -3.0 - 0.9 * lead.intent),
    }


def sales(rng: np.random.Generator, lead: Lead, c: Columns) -> Columns:
    calls = rng.poisson(np.exp(0.7 + 0.2 * lead.fit + 0.15 * lead.intent))
    answered = rng.binomial(calls, logistic(-0.9 + 0.5 * lead.intent - 0.2 * lead.authority))
    meetings = rng.binomial(answered, logistic(-1.5 + 0.6 * lead.timing + 0.3 * lead.fit))
    created = np.floor(rng.gamma(1.4, 45.0, len(lead))) + 1.0
    asked = (c["f16"] > 0) | (rng.random(len(lead)) < logistic(-0.2 + 0.6 * lead.intent))
    since = np.minimum(np.floor(rng.exponential(np.exp(3.0 - 0.4 * lead.timing))), created)
    return {
        "f23": calls.astype(float),
        "f24": answered.astype(float),
        "f25": np.where(answered > 0, np.round(answered * rng.gamma(2.0, np.exp(0.9 + 0.3 * lead.intent)), 1), np.nan),
        "f26": meetings.astype(float),
        "f27": np.where(answered > 0, since, np.nan),
        "f28": created,
        "f29": np.where(asked, np.round(rng.lognormal(2.0, 1.1, len(lead)), 1), np.nan),
        "f30": 1.0 + rng.poisson(np.exp(-0.4 + 0.5 * lead.fit + 0.3 * lead.money)),
    }


def company(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    size = np.ceil(np.exp(4.0 + 0.9 * lead.money + 0.3 * lead.fit + rng.normal(0.0, 0.9, len(lead))))
    revenue = size * np.exp(-2.1 + 0.3 * lead.money + rng.normal(0.0, 0.5, len(lead)))
    published = rng.random(len(lead)) < logistic(-0.6 + 0.35 * (np.log(size) - 4.0))
    rival_known = rng.random(len(lead)) < 0.6
    rival = flag(rng, -0.9 + 0.3 * lead.fit)
    return {
        "f31": size,
        "f32": np.where(published, np.round(revenue, 2), np.nan),
        "f33": np.floor(rng.gamma(1.6, 9.0, len(lead))),
        "f34": np.round(4.0 + 9.0 * lead.timing + rng.normal(0.0, 14.0, len(lead)), 1),
        "f35": unit(rng, 0.9 * lead.fit),
        "f36": np.where(rival_known, rival, np.nan),
        "f37": rng.poisson(np.exp(0.5 + 0.5 * lead.fit)).astype(float),
        "f38": 1.0 + rng.poisson(size / 150.0),
        "f39": np.clip(np.round(6.0 + 1.4 * lead.money + rng.normal(0.0, 1.3, len(lead))), 1.0, 10.0),
        "f40": np.round(rng.lognormal(4.6, 1.1, len(lead))),
    }


def person(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    return {
        "f41": np.clip(np.round(2.6 + 1.0 * lead.authority + rng.normal(0.0, 0.5, len(lead))), 1.0, 5.0),
        "f42": np.round(rng.gamma(1.5, 2.6, len(lead)), 1),
        "f43": flag(rng, -0.3 + 0.8 * lead.authority + 0.3 * lead.fit),
        "f44": flag(rng, 0.9 + 0.7 * lead.fit),
        "f45": flag(rng, -0.5 + 0.8 * lead.intent),
        "f46": unit(rng, 0.5 * lead.intent + 0.2 * lead.authority),
    }


def history(rng: np.random.Generator, lead: Lead, _: Columns) -> Columns:
    names_budget = rng.random(len(lead)) < logistic(-1.5 + 0.7 * lead.timing + 0.5 * lead.authority)
    budget = np.round(np.exp(3.0 + 0.8 * lead.money + rng.normal(0.0, 0.5, len(lead))))
    return {
        "f47": lead.source,
        "f48": flag(rng, -2.6 + 0.4 * lead.fit + 0.9 * (lead.source == 7)),
        "f49": rng.poisson(0.12 * np.exp(0.5 * lead.fit)).astype(float),
        "f50": np.where(names_budget, budget, np.nan),
    }


def hide_untracked(lead: Lead, c: Columns) -> None:
    """Without cookies, or on a bought list, nothing that happened on the website can be tied to the person."""
    for name in ("f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f16"):
        c[name] = np.where(lead.tracked, c[name], np.nan)


def hide_unconnected(rng: np.random.Generator, groups: list[Columns], c: Columns) -> None:
    """A fifth of the leads come from a subsidiary where some of the tools (mail, telephony, ...) are not connected."""
    subsidiary = rng.random(len(c["f1"])) < 0.2
    for group in groups:
        hidden = subsidiary & (rng.random(len(subsidiary)) < 0.4)
        for name in group:
            c[name] = np.where(hidden, np.nan, c[name])


def leave_fields_empty(rng: np.random.Generator, lead: Lead, c: Columns) -> None:
    """Empty at random, at a rate of each field; more of the person on a bought list; nearly all if barely known."""
    at_random = {"f31": 0.06, "f33": 0.10, "f34": 0.15, "f38": 0.12, "f39": 0.22, "f40": 0.04, "f42": 0.35, "f46": 0.03}
    for name, share in at_random.items():
        c[name] = np.where(rng.random(len(lead)) < share, np.nan, c[name])
    for name in ("f41", "f43", "f45", "f46"):
        c[name] = np.where((lead.source == 1.0) & (rng.random(len(lead)) < 0.6), np.nan, c[name])
    for name in FEATURES:
        c[name] = np.where(lead.barely_known & (rng.random(len(lead)) < 0.92), np.nan, c[name])


def logistic(x: Column) -> Column:
    return 1.0 / (1.0 + np.exp(-x))


def flag(rng: np.random.Generator, logit: Column) -> Column:
    """0 or 1 with the given log-odds."""
    return (rng.random(len(logit)) < logistic(logit)).astype(float)


def unit(rng: np.random.Generator, centre: Column) -> Column:
    """A share between 0 and 1, two decimals."""
    return np.round(logistic(centre + rng.normal(0.0, 1.0, len(centre))), 2)
