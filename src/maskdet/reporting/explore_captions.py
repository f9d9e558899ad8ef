"""What each figure of the first look shows, said in numbers that were computed, never typed."""

from collections.abc import Mapping
from math import isnan

from maskdet.data.image_traits import COMMON_LONG_SIDE
from maskdet.data.quality import COMMON_SIDE
from maskdet.evaluation.exploration.boxes import REFERENCE_SIDE_PX, TINY_SIDE_PX
from maskdet.evaluation.exploration.classes import CROWDED_SHARE
from maskdet.evaluation.exploration.pictures import BRIGHT, DARK
from maskdet.reporting.palette import class_style


def counted(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "face"), counted(3320, "face"), counted(2, "box"), counted(0, "image")
    ('1 face', '3,320 faces', '2 boxes', '0 images')
    """
    plural = f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def classes_caption(numbers: Mapping) -> str:
    """Say how many faces there are and how uneven the classes."""
    without = f"Images without a face: {numbers['num_images_without_faces']:,}."
    total = f"{counted(numbers['num_faces'], 'face')} in {counted(numbers['num_images'], 'image')}"
    if "most_common" not in numbers:
        return f"{total}. {without}"
    most, rarest = numbers["most_common"], numbers["rarest"]
    if most["class_name"] == rarest["class_name"]:
        balance = f"all of the class {_quoted(most['class_name'])}"
    else:
        balance = (
            f"{_class_count(most)} are {_quoted(most['class_name'])}; the rarest class, "
            f"{_quoted(rarest['class_name'])}, has {_class_count(rarest)}: one for every "
            f"{numbers['imbalance']:.1f} of the other"
        )
    absent = numbers["classes_without_faces"]
    lacking = f" No face is {' or '.join(map(_quoted, absent))}." if absent else ""
    return f"{total}: {balance}. {without}{lacking}"


def _quoted(class_name: str) -> str:
    return f"“{class_style(class_name).short_name}”"


def _class_count(row: Mapping) -> str:
    return f"{row['num_faces']:,} ({row['face_share']:.1%})"


def crowding_caption(numbers: Mapping) -> str:
    """Say how many faces an image has, and what the crowded ones weigh."""
    crowded, largest = numbers["crowded"], numbers["largest"]
    one = numbers["num_images_with_one_face"]
    return (
        f"An image has {numbers['mean']:.1f} faces on average, {numbers['median']:g} in the median and at most "
        f"{largest['num_faces']:,} ({largest['file_name']}). {_share(one, numbers['num_images'], 'image')} "
        f"{'has' if one == 1 else 'have'} exactly one. The most crowded {CROWDED_SHARE:.0%} "
        f"({counted(crowded['num_images'], 'image')} with {crowded['min_faces']:,} faces or more) hold "
        f"{crowded['face_share']:.1%} of all faces."
    )


def _share(count: int, total: int, noun: str) -> str:
    """Return a count with its noun and its share.

    >>> _share(1, 8, "image")
    '1 image (12.5%)'
    """
    return f"{counted(count, noun)} ({count / total:.1%})"


def co_occurrence_caption(numbers: Mapping) -> str:
    """Say how often classes share an image."""
    pair, total = numbers["most_common_pair"], numbers["num_images_with_faces"]
    names = " and ".join(map(_quoted, pair["classes"]))
    rarest, with_others = numbers["num_images_with_rarest"], numbers["num_rarest_with_others"]
    return (
        f"{_share(numbers['num_several'], total, 'image')} of the {total:,} with faces hold more than one class. The "
        f"most common pair, {names}, shares {counted(pair['num_images'], 'image')}, where {pair['num_expected']:.0f} "
        f"would be expected of independent classes. Of the {counted(rarest, 'image')} with "
        f"{_quoted(numbers['rarest'])}, {with_others:,} ({with_others / rarest:.1%}) hold another class too."
    )


def sides_caption(numbers: Mapping) -> str:
    """Say how large faces are in pixels."""
    sides, smallest = numbers["short_side_px"], numbers["smallest"]
    return (
        f"The shorter side of a face's box is {sides['median']:.0f} px in the median; nine in ten lie between "
        f"{sides['p5']:.0f} and {sides['p95']:.0f} px. {_share(numbers['num_tiny'], numbers['num_faces'], 'face')} "
        f"{'is' if numbers['num_tiny'] == 1 else 'are'} below {TINY_SIDE_PX} px, the smallest "
        f"{smallest['short_side_px']:.0f} px ({smallest['file_name']}). "
        f"Medians by class: {_by_class(numbers['median_px_by_class'], '.0f', ' px')}."
    )


def _by_class(values: Mapping[str, float], form: str, unit: str = "") -> str:
    """List a number of each class."""
    return ", ".join(f"{class_style(name).short_name} {value:{form}}{unit}" for name, value in values.items())


def coco_sizes_caption(numbers: Mapping) -> str:
    """Say how the faces divide into COCO's sizes."""
    share, num = numbers["share"], numbers["num"]
    return (
        f"As COCO counts, {num['small']:,} of {counted(numbers['num_faces'], 'face')} ({share['small']:.1%}) are small "
        f"(area below 32² px), {share['medium']:.1%} medium and {share['large']:.1%} large (from 96² px). "
        f"Small by class: {_by_class(numbers['small_share_by_class'], '.1%')}."
    )


def relative_sizes_caption(numbers: Mapping) -> str:
    """Say how large faces are in their images."""
    sizes = numbers["relative_size"]
    return (
        f"A face's side is {sizes['median']:.1%} of its image's in the median (roots of the areas); nine in ten lie "
        f"between {sizes['p5']:.1%} and {sizes['p95']:.1%}. In an image stretched to {REFERENCE_SIDE_PX} × "
        f"{REFERENCE_SIDE_PX} px the median face has {numbers['median_px_at_reference']:.0f} px. "
        f"Medians by class: {_by_class(numbers['median_by_class'], '.1%')}."
    )


def ratios_caption(numbers: Mapping) -> str:
    """Say which shape boxes have."""
    ratio = numbers["ratio"]
    return (
        f"A box is {ratio['median']:.2f} times as wide as high in the median; nine in ten lie between "
        f"{ratio['p5']:.2f} and {ratio['p95']:.2f}. {numbers['tall_share']:.1%} are taller than wide; "
        f"{_share(numbers['num_extreme'], numbers['num_faces'], 'box')} "
        f"{'is' if numbers['num_extreme'] == 1 else 'are'} more than twice as long one way as the other. "
        f"Medians by class: {_by_class(numbers['median_by_class'], '.2f')}."
    )


def positions_caption(numbers: Mapping) -> str:
    """Say where faces lie."""
    centre = numbers["median_centre"]
    touching = numbers["num_at_border"]
    return (
        f"The median centre of a face lies at {centre['x']:.1%} of the width and {centre['y']:.1%} of the height. "
        f"{numbers['upper_half_share']:.1%} of the centres are in the upper half, "
        f"{numbers['middle_third_share']:.1%} in the middle third of the width (33.3% if spread evenly). "
        f"{_share(touching, numbers['num_faces'], 'box')} {'touches' if touching == 1 else 'touch'} the image's "
        "border. Each map shows which share of the faces covers a place, all images stretched to one shape."
    )


def image_sizes_caption(numbers: Mapping) -> str:
    """Say which sizes images have."""
    most, total = numbers["most_common"], numbers["num_images"]
    return (
        f"{counted(numbers['num_sizes'], 'size')} in {counted(total, 'image')}; the most common, {most['width']} × "
        f"{most['height']} px, has {_share(most['num_images'], total, 'image')}. {numbers['landscape_share']:.1%} are "
        f"landscape, {numbers['portrait_share']:.1%} portrait, {numbers['square_share']:.1%} square. Sides run from "
        f"{numbers['shortest_side_px']:,} to {numbers['longest_side_px']:,} px. A disc's area tells how many images "
        "have its size."
    )


def brightness_caption(numbers: Mapping) -> str:
    """Say how bright images and faces are."""
    images, total = numbers["images"], numbers["num_images"]
    dark, bright = (_share(numbers[key], total, "image") for key in ("num_dark", "num_bright"))
    faces = numbers["median_of_faces"]
    of_faces = f" Medians of faces: {_by_class(faces, '.0f')}." if faces else ""
    return (
        f"The mean luminance of an image is {images['median']:.0f} of 255 in the median; nine in ten lie between "
        f"{images['p5']:.0f} and {images['p95']:.0f}. Dark, below {DARK}: {dark}; bright, from {BRIGHT} on: {bright}."
        f"{of_faces}"
    )


def image_sharpness_caption(numbers: Mapping) -> str:
    """Say how sharp images are."""
    values, least = numbers["sharpness"], numbers["least"]
    return (
        f"Edges over contrast of an image, its longer side at {COMMON_LONG_SIDE} px: {values['median']:.2f} in the "
        f"median; nine in ten lie between {values['p5']:.2f} and {values['p95']:.2f}. The least sharp has "
        f"{least['sharpness']:.2f} ({least['file_name']})."
    )


def face_sharpness_caption(numbers: Mapping) -> str:
    """Say how sharp faces are for their size."""
    medians = ", ".join(
        f"{size} {value:.2f} ({counted(numbers['num_faces'][size], 'face')})"
        for size, value in numbers["median"].items()
    )
    correlation = numbers["rank_correlation"]
    relation = "" if isnan(correlation) else f" Rank correlation with the area of the box: {correlation:.2f}."
    return f"Edges over contrast of a face at {COMMON_SIDE} px, medians by COCO size: {medians}.{relation}"


def feature_map_caption(numbers: Mapping) -> str:
    """Say what was laid out, and what nearness means for classes and groups."""
    total = counted(numbers["num_images"], "image")
    if numbers["num_axes"] == 0:
        return f"{total} without a difference that the network sees: there is nothing to lay out."
    axes = counted(numbers["num_axes"], "principal component")
    laid_out = (
        f"{total} by {numbers['method']} of {numbers['num_features']:,} features of an ImageNet network ({axes}, "
        f"{numbers['explained_share']:.1%} of their variance)."
    )
    return laid_out + _mix_sentence(numbers) + _groups_sentence(numbers)


def _mix_sentence(numbers: Mapping) -> str:
    if "mix" not in numbers:
        return ""
    mix = numbers["mix"]
    return (
        f" The image most alike holds the same classes for {mix['share']:.1%} of the images; for "
        f"{mix['by_chance']:.1%} if drawn at random."
    )


def _groups_sentence(numbers: Mapping) -> str:
    if "groups" not in numbers:
        return ""
    groups = numbers["groups"]
    return (
        f" {counted(groups['num_images'], 'image')} lie in {counted(groups['num_groups'], 'group')} of look-alikes or "
        f"of one series, the largest of {groups['largest']['num_images']:,}; of these images {groups['share']:.1%} "
        "have their most alike image in their group."
    )
