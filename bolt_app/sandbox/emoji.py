"""The names of the standard emoji the sandbox takes as reactions."""

# A modest part of Slack's own set; `SlackState.custom_emoji` adds to it.
NAMES = """
+1 -1 thumbsup thumbsdown ok_hand clap wave pray raised_hands eyes heart fire tada sparkles star
white_check_mark heavy_check_mark ballot_box_with_check x heavy_multiplication_x no_entry no_entry_sign
warning rotating_light bell question grey_question exclamation bangbang 100 hourglass hourglass_flowing_sand
stopwatch alarm_clock clock1 rocket bug wrench hammer gear lock unlock key email envelope inbox_tray
outbox_tray package memo pencil pencil2 bookmark pushpin round_pushpin paperclip link mag ticket
admission_tickets label speech_balloon thought_balloon phone telephone_receiver computer robot_face smile
slightly_smiling_face grinning joy sob thinking_face face_with_monocle sweat_smile disappointed rage
red_circle large_blue_circle large_green_circle large_yellow_circle black_circle white_circle arrow_up
arrow_down arrow_right arrow_left repeat arrows_counterclockwise recycle zzz coffee checkered_flag
triangular_flag_on_post hand point_up muscle e-mail man-shrugging woman-shrugging non-potable_water
"""

STANDARD_EMOJI = frozenset(NAMES.split())
