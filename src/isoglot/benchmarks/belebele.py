"""Belebele (arXiv 2308.16884) as retrieval: 900 questions in 122 languages, and the 488 passages that they are about.

Passages come from FLORES-200, so both sides are parallel throughout; a question in one language is joined with its
translations by the passage's link and the question's number. The multiple-choice answers are not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isoglot.benchmarks.retrieval_set import Passage, Query, RetrievalSet
from isoglot.common.files import files_by_language, read_json_lines, some_text
from isoglot.common.languages import asked, normalize_language
from isoglot.sources.hub_tables import HubRows, HubTable

HUB_ID = "facebook/belebele"
_COLUMNS = ("link", "question_number", "flores_passage", "question")
_CODES = """
acm_Arab afr_Latn als_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab asm_Beng azj_Latn bam_Latn
ben_Beng ben_Latn bod_Tibt bul_Cyrl cat_Latn ceb_Latn ces_Latn ckb_Arab dan_Latn deu_Latn ell_Grek eng_Latn est_Latn
eus_Latn fin_Latn fra_Latn fuv_Latn gaz_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hin_Latn hrv_Latn
hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kac_Latn kan_Knda kat_Geor kaz_Cyrl
kea_Latn khk_Cyrl khm_Khmr kin_Latn kir_Cyrl kor_Hang lao_Laoo lin_Latn lit_Latn lug_Latn luo_Latn lvs_Latn mal_Mlym
mar_Deva mkd_Cyrl mlt_Latn mri_Latn mya_Mymr nld_Latn nob_Latn npi_Deva npi_Latn nso_Latn nya_Latn ory_Orya pan_Guru
pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn ron_Latn rus_Cyrl shn_Mymr sin_Latn sin_Sinh slk_Latn slv_Latn sna_Latn
snd_Arab som_Latn sot_Latn spa_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn tam_Taml tel_Telu tgk_Cyrl tgl_Latn
tha_Thai tir_Ethi tsn_Latn tso_Latn tur_Latn ukr_Cyrl urd_Arab urd_Latn uzn_Latn vie_Latn war_Latn wol_Latn xho_Latn
yor_Latn zho_Hans zho_Hant zsm_Latn zul_Latn
"""


def load_belebele(folder: str | Path | None = None, *, languages: Iterable[str] | None = None) -> RetrievalSet:
    """Load Belebele.

    Args:
        folder: JSON lines per language, `deu_Latn.jsonl` and so on; the hub if None.
        languages: read these only; all of them if None.

    Raises:
        InputError: if a language or a file is not there, or not of this form.
    """
    queries: dict[tuple[str, str], Query] = {}
    passages: dict[tuple[str, str], Passage] = {}
    relevant: list[tuple[str, str]] = []
    for language, rows in _rows(folder, languages):
        for row in rows:
            example = f"{row['link']}#{row['question_number']}"
            where = f"belebele {language} {example}"
            question, text = (some_text(row[name], where, name) for name in ("question", "flores_passage"))
            queries.setdefault((language, example), Query(example, language, question))
            passage = passages.setdefault((language, text), Passage(f"{language}/{len(passages)}", language, text))
            relevant.append((example, passage.id))
    return RetrievalSet.build("belebele", queries.values(), passages.values(), relevant)


def _rows(
    folder: str | Path | None, languages: Iterable[str] | None
) -> Iterable[tuple[str, Iterable[Mapping[str, Any]]]]:
    if folder is None:
        codes = asked({normalize_language(code): code for code in _CODES.split()}, languages, "belebele")
        columns = {name: (name,) for name in _COLUMNS}
        return ((tag, HubRows(HubTable(HUB_ID, code, "test"), columns)) for tag, code in codes.items())
    files = asked(files_by_language(Path(folder), ".jsonl"), languages, str(folder))
    return ((tag, (row for _, row in read_json_lines(file, *_COLUMNS))) for tag, file in files.items())
