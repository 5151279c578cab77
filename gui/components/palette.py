"""The panel's colours, light and dark."""

from __future__ import annotations

# name: (light, dark). Greys lean slightly to violet, so that the accent belongs to them.
PALETTE: dict[str, tuple[str, str]] = {
    "window": ("#F6F5F8", "#131216"),
    "sidebar": ("#ECEAF0", "#1A191E"),
    "card": ("#FFFFFF", "#1E1D23"),
    "border": ("#E2DFE7", "#302E38"),
    "hover": ("#EFEDF4", "#292731"),
    "field": ("#FAF9FC", "#17161B"),
    "track": ("#DEDBE5", "#3A3843"),
    "text": ("#211F28", "#EFEDF3"),
    "muted": ("#544F5E", "#B8B4C3"),
    "faint": ("#6A6673", "#94919D"),
    # What cannot be pressed now; it may be fainter than text that is to be read.
    "disabled": ("#8A8694", "#7C7887"),
    "accent": ("#5B53D6", "#6B62EE"),
    "accent_hover": ("#4D45C4", "#5E55E0"),
    "accent_soft": ("#E8E6FB", "#2A2747"),
    "accent_text": ("#4B43C2", "#B3AEFB"),
    "on_accent": ("#FFFFFF", "#FFFFFF"),
    "good": ("#1B7950", "#3DBE85"),
    "good_soft": ("#DFF3E9", "#17332A"),
    "busy": ("#945A00", "#EDB14E"),
    "busy_soft": ("#FBEED6", "#3A2C13"),
    "bad": ("#C13339", "#F0787C"),
    "bad_soft": ("#FBE4E4", "#3F1D20"),
    "idle": ("#6A6671", "#9590A0"),
    "idle_soft": ("#E9E7ED", "#2A2830"),
    "switch_knob": ("#FFFFFF", "#FFFFFF"),
}
