"""Examine images in processes of their own: a decoder that dies costs one row."""

from cxrscreen.workers.pool import ExaminerPool, WorkerLimits

__all__ = ["ExaminerPool", "WorkerLimits"]
