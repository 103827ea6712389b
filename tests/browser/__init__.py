"""The page in a real browser, against one local stack: Chromium with a microphone that plays a file.

driver.mjs    told what to do over stdin, by playwright-core
chromium      starts it, and the browser's pages as objects
speech        the microphone's file, and what the page plays, as words
scenes        one stack, one browser and the timeline of what happened
"""
