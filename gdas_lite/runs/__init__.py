"""What every long run needs: folder, checkpoints, device, meters, schedules."""
