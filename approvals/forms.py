"""What the decision on an approval is sent with."""

from django import forms

from approvals.policy import Decision


class DecisionForm(forms.Form):
    """A vote, and the revision of the request that the voter saw."""

    revision = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    decision = forms.ChoiceField(choices=[(one.value, one.value) for one in Decision])
    reason = forms.CharField(max_length=2000, required=False, strip=True)
